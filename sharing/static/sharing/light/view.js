"use strict";
// How a picture lies on the stage: zoom, place, turn, mirror. Marks are kept in pixels of the instance.

const NEAREST = 16;
const FARTHEST = 0.5;

export class View {
  #canvas;
  #context;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.size = [1, 1]; // rows, columns
    this.aspect = 1; // height of a pixel over its width
    this.reset();
  }

  reset() {
    Object.assign(this, { zoom: 1, x: 0, y: 0, turns: 0, mirrored: false, inverted: false });
  }

  turn() { this.turns = (this.turns + 1) % 4; [this.x, this.y] = [-this.y, this.x]; }

  mirror() { this.mirrored = !this.mirrored; }

  move(x, y) { this.x += x; this.y += y; }

  // Larger or smaller around a point of the stage, which stays where it is.
  zoomAt(factor, { x, y }) {
    const before = this.zoom;
    this.zoom = Math.min(NEAREST, Math.max(FARTHEST, before * factor));
    const by = this.zoom / before;
    const [midX, midY] = [this.#canvas.clientWidth / 2, this.#canvas.clientHeight / 2];
    this.x = (x - midX) - ((x - midX) - this.x) * by;
    this.y = (y - midY) - ((y - midY) - this.y) * by;
  }

  // Device pixels that the longer side of the whole picture takes: more than these would be wasted.
  get side() {
    const [rows, columns] = this.size;
    return Math.max(rows * this.aspect, columns) * this.#scale() * devicePixelRatio;
  }

  // From pixels of the instance (column, row) to points of the stage.
  #matrix() {
    const [rows, columns] = this.size;
    const scale = this.#scale();
    return new DOMMatrix()
      .translate(this.#canvas.clientWidth / 2 + this.x, this.#canvas.clientHeight / 2 + this.y)
      .rotate(90 * this.turns)
      .scale(this.mirrored ? -scale : scale, scale * this.aspect)
      .translate(-columns / 2, -rows / 2);
  }

  #scale() {
    const [rows, columns] = this.size;
    const sides = [columns, rows * this.aspect];
    if (this.turns % 2) sides.reverse();
    const { clientWidth, clientHeight } = this.#canvas;
    return this.zoom * Math.min(clientWidth / sides[0], clientHeight / sides[1]);
  }

  toImage({ x, y }) { return this.#matrix().inverse().transformPoint(new DOMPoint(x, y)); }

  // `draw` gets the context and a function from pixels of the instance to points of the stage.
  paint(image, draw) {
    const { clientWidth, clientHeight } = this.#canvas;
    this.#canvas.width = clientWidth * devicePixelRatio;
    this.#canvas.height = clientHeight * devicePixelRatio;
    const whole = new DOMMatrix().scale(devicePixelRatio);
    const context = this.#context;
    if (image) {
      const [rows, columns] = this.size;
      context.setTransform(whole.multiply(this.#matrix()));
      context.imageSmoothingEnabled = this.zoom < 4;
      context.filter = this.inverted ? "invert(1)" : "none";
      context.drawImage(image, 0, 0, columns, rows);
      context.filter = "none";
    }
    context.setTransform(whole);
    const matrix = this.#matrix();
    draw(context, (point) => matrix.transformPoint(new DOMPoint(point.x, point.y)));
  }
}
