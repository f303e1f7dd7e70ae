/*
 * Views of several dimensions on one flat array, as the library "ndarray" gives them, which OHIF reads segmentations
 * with. The library writes a class for each kind of view as text and compiles it: the policy for content forbids that.
 */
{
  const numbers = values => typeof values === 'number' && values >= 0;

  class View {
    constructor(dtype, data, shape, stride, offset) {
      Object.assign(this, { dtype, data, shape, stride, offset, dimension: shape.length });
    }

    get size() {
      return this.shape.reduce((size, length) => size * length, 1);
    }

    get order() {
      const axes = this.stride.map((_, axis) => axis);
      return axes.sort((a, b) => Math.abs(this.stride[a]) - Math.abs(this.stride[b]));
    }

    index(...at) {
      let index = this.offset;
      for (let axis = 0; axis < this.dimension; axis++) {
        index += this.stride[axis] * at[axis];
      }
      return index;
    }

    get(...at) {
      const index = this.index(...at);
      return this.dtype === 'generic' ? this.data.get(index) : this.data[index];
    }

    set(...at) {
      const value = at[this.dimension];
      const index = this.index(...at);
      return this.dtype === 'generic' ? this.data.set(index, value) : (this.data[index] = value);
    }

    valueOf() {
      return this.dimension ? this : this.get();
    }

    lo(...from) {
      let offset = this.offset;
      const shape = this.shape.map((length, axis) => {
        const start = numbers(from[axis]) ? Math.trunc(from[axis]) : 0;
        offset += this.stride[axis] * start;
        return length - start;
      });
      return new View(this.dtype, this.data, shape, [...this.stride], offset);
    }

    hi(...to) {
      const shape = this.shape.map((length, axis) => (numbers(to[axis]) ? Math.trunc(to[axis]) : length));
      return new View(this.dtype, this.data, shape, [...this.stride], this.offset);
    }

    step(...by) {
      let offset = this.offset;
      const shape = [...this.shape];
      const stride = this.stride.map((one, axis) => {
        if (typeof by[axis] !== 'number') {
          return one;
        }
        const wide = Math.trunc(by[axis]);
        if (wide < 0) {
          offset += one * (shape[axis] - 1);
        }
        shape[axis] = Math.ceil(shape[axis] / Math.abs(wide));
        return one * wide;
      });
      return new View(this.dtype, this.data, shape, stride, offset);
    }

    transpose(...axes) {
      const from = this.shape.map((_, axis) => (axes[axis] === undefined ? axis : Math.trunc(axes[axis])));
      const shape = from.map(axis => this.shape[axis]);
      return new View(this.dtype, this.data, shape, from.map(axis => this.stride[axis]), this.offset);
    }

    pick(...at) {
      let offset = this.offset;
      const kept = this.shape.map((_, axis) => axis).filter(axis => {
        if (numbers(at[axis])) {
          offset += this.stride[axis] * Math.trunc(at[axis]);
          return false;
        }
        return true;
      });
      const of = list => kept.map(axis => list[axis]);
      return new View(this.dtype, this.data, of(this.shape), of(this.stride), offset);
    }
  }

  /** What the library's compileConstructor gives: a function that makes views of this kind. */
  globalThis.imagingViews = (dtype, dimension) => (data, shape = [], stride = [], offset = 0) =>
    dimension < 0
      ? Object.assign(new View(dtype, data, [], [], 0), { dimension: -1 })
      : new View(dtype, data, Array.from(shape).slice(0, dimension), Array.from(stride).slice(0, dimension), offset);
}
