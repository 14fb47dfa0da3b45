// Pictures come four at a time. A browser opens six connections to a host, and a question must not stand in line
// behind thumbnails that are being made.
const AT_ONCE = 4;
const waiting = new Map();
const coming = new Set();

function next() {
  for (const [image, address] of waiting) {
    if (coming.size >= AT_ONCE) return;
    waiting.delete(image);
    coming.add(image);
    image.src = address;
  }
}

function done(image) {
  if (coming.delete(image)) next();
}

// Shows `address` in `image` when it is its turn.
export function load(image, address) {
  image.addEventListener("load", () => done(image));
  image.addEventListener("error", () => done(image));
  waiting.set(image, address);
  next();
}

// Of an image that left the page: one that is still coming is broken off.
export function leave(image) {
  waiting.delete(image);
  if (!coming.has(image)) return;
  image.removeAttribute("src");
  done(image);
}
