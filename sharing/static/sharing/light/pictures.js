"use strict";
// The pictures of a series: their addresses, what is loaded, and what is loaded ahead.

const KEPT = 60; // decoded pictures; the browser keeps the bytes of more
const AHEAD = 6;
const STEP = 256; // sides are asked for in such steps, so that a turned phone finds what it has

export class Pictures {
  #root;
  #loaded = new Map(); // address → Promise of a decoded Image

  // `root`: the address of the series' instances. `list`: one entry for each frame, as slices.json has them.
  constructor(root, list) {
    this.#root = root;
    this.list = list.flatMap((slice) =>
      Array.from({ length: slice.frames }, (_, n) => ({ ...slice, frame: n + 1 })));
  }

  get length() { return this.list.length; }

  // The picture of one frame, no larger than `side` pixels are of use; `window` is "center,width" or empty.
  load(at, { window, side }) {
    const address = this.#address(this.list[at], window, side);
    let picture = this.#loaded.get(address);
    if (!picture) {
      const image = new Image();
      image.src = address;
      picture = image.decode().then(() => image);
      picture.catch(() => this.#loaded.delete(address));
      this.#loaded.set(address, picture);
      if (this.#loaded.size > KEPT) this.#loaded.delete(this.#loaded.keys().next().value);
    }
    return picture;
  }

  // The next ones in the direction of travel, and one behind.
  loadAhead(at, direction, settings) {
    for (const by of [...Array.from({ length: AHEAD }, (_, n) => (n + 1) * direction), -direction]) {
      if (at + by >= 0 && at + by < this.length) this.load(at + by, settings).catch(() => {});
    }
  }

  #address({ uid, frame, frames, size }, window, side) {
    const part = frames > 1 ? `${uid}/frames/${frame}/rendered` : `${uid}/rendered`;
    const asked = [];
    if (window) asked.push(`window=${encodeURIComponent(`${window},linear`)}`);
    const wanted = Math.ceil(side / STEP) * STEP;
    if (Math.max(...size) > wanted) asked.push(`viewport=${wanted}%2C${wanted}`);
    return this.#root + part + (asked.length ? `?${asked.join("&")}` : "");
  }
}
