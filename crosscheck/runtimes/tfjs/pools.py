"""Classes of layers that networks bring along: pools over two axes with pads, which `tf.layers` does not take."""

__all__ = ["AVERAGE", "MAXIMUM"]

_LAYER = """\
class {name} extends tf.layers.Layer {{
  static className = "{name}";

  constructor({{ poolSize, strides, padding, ...config }}) {{
    super(config);
    Object.assign(this, {{ poolSize, strides, padding }});
  }}

  computeOutputShape([rows, height, width, channels]) {{
    const sizes = [height, width].map((size, axis) => {{
      const [before, after] = this.padding[axis];
      return Math.floor((before + size + after - this.poolSize[axis]) / this.strides[axis]) + 1;
    }});
    return [rows, ...sizes, channels];
  }}

  call(inputs) {{
    return tf.tidy(() => {{
      const [x] = [inputs].flat();
{call}    }});
  }}

  getConfig() {{
    const {{ poolSize, strides, padding }} = this;
    return {{ ...super.getConfig(), poolSize, strides, padding }};
  }}
}}
tf.serialization.registerClass({name});

"""
#: Nothing is larger than what is put around.
MAXIMUM = _LAYER.format(
    name="PaddedMaxPool",
    call="""\
      const padded = tf.pad(x, [[0, 0], ...this.padding, [0, 0]], -Infinity);
      return tf.maxPool(padded, this.poolSize, this.strides, "valid");
""",
)
#: Zeros are put around, and the share of real entries in each window is divided out.
AVERAGE = _LAYER.format(
    name="PaddedAveragePool",
    call="""\
      const pool = (value) => {
        const padded = tf.pad(value, [[0, 0], ...this.padding, [0, 0]]);
        return tf.avgPool(padded, this.poolSize, this.strides, "valid");
      };
      return tf.div(pool(x), pool(tf.onesLike(x)));
""",
)
