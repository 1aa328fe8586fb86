"""Each way of asking, as Paddle's users write it: layers and programs, since 2.0 and before."""

from crosscheck.runtimes.paddle.fluid_layers import FLUID
from crosscheck.runtimes.paddle.fluid_programs import FLUID_PROGRAMS
from crosscheck.runtimes.paddle.layers import EXPORTS, LAYERS
from crosscheck.runtimes.paddle.programs import PROGRAMS

MODES = (*LAYERS, *PROGRAMS, *EXPORTS, *FLUID, *FLUID_PROGRAMS)
