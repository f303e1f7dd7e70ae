"use strict";
// Lengths on a picture. Millimetres where the instance says how large a pixel is (PS3.3 10.7.1), else pixels.

const MARK = "#ffd54a";

export class Ruler {
  #lines = new Map(); // frame → lines of two points in pixels of the instance

  #of(frame) {
    const key = `${frame.uid} ${frame.frame}`;
    if (!this.#lines.has(key)) this.#lines.set(key, []);
    return this.#lines.get(key);
  }

  begin(frame, point) { this.#of(frame).push([point, point]); }

  reach(frame, point) { this.#of(frame).at(-1)[1] = point; }

  // A line that was only touched is none.
  end(frame) {
    const lines = this.#of(frame);
    const [from, to] = lines.at(-1) ?? [];
    if (from && Math.hypot(to.x - from.x, to.y - from.y) < 1) lines.pop();
  }

  undo(frame) { this.#of(frame).pop(); }

  count(frame) { return this.#of(frame).length; }

  // "12.3 mm"; `words` are the unit for pixels and what is said of lengths on the detector.
  text(frame, [from, to], words) {
    const [down, across] = frame.spacing ?? [1, 1];
    const length = Math.hypot((to.x - from.x) * across, (to.y - from.y) * down);
    if (!frame.spacing) return `${length.toFixed(0)} ${words.pixels}`;
    return `${length.toFixed(1)} mm${frame.detector ? ` (${words.detector})` : ""}`;
  }

  newest(frame, words) {
    const line = this.#of(frame).at(-1);
    return line ? this.text(frame, line, words) : "";
  }

  draw(frame, context, place, words) {
    context.lineWidth = 2;
    context.font = "600 14px system-ui, sans-serif";
    for (const line of this.#of(frame)) {
      const [from, to] = line.map(place);
      context.strokeStyle = context.fillStyle = MARK;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
      for (const end of [from, to]) context.fillRect(end.x - 3, end.y - 3, 6, 6);
      const text = this.text(frame, line, words);
      context.strokeStyle = "#000";
      context.strokeText(text, to.x + 8, to.y - 8);
      context.fillText(text, to.x + 8, to.y - 8);
    }
  }
}
