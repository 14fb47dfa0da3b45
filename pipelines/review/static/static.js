// The page without a server: rows out of index.parquet, pictures from the folder beside it. See local.js.
import { source } from "./tools.js";
import { opened } from "./local.js";

try {
  const local = await opened("index.parquet");
  source.ask = (path, parameters) => local.ask(path, parameters);
  source.picture = (row, kind) => (kind === "image" && row.image) || row.thumbnail;
  await import("./app.js");
} catch (error) {
  const told = document.getElementById("problem");
  told.hidden = false;
  told.textContent = `This page cannot be shown: ${error.message}`;
  throw error;
}
