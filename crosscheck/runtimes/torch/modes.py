"""Each way of asking, as PyTorch's users write it.

Names begin with the mode of the module, `train` or `eval`, where that and the call are all there is to say; else with
what is done to the network first, or with what the layers are. The intent is that of the module's mode in the forward
pass; whoever puts the layers alone into evaluation mode wants the running statistics.
"""

from crosscheck.runtimes.torch.autograd import AUTOGRAD
from crosscheck.runtimes.torch.compiled import COMPILED
from crosscheck.runtimes.torch.exports import EXPORTS
from crosscheck.runtimes.torch.own import OWN
from crosscheck.runtimes.torch.transforms import TRANSFORMS

MODES = (*AUTOGRAD, *TRANSFORMS, *COMPILED, *EXPORTS, *OWN)
