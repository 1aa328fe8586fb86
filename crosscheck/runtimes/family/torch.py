"""Torch modules: the texts of the plain gradients and predictions."""

__all__ = ["ANSWER", "BACKWARD", "EVALUATE", "FROZEN", "GRAD", "LOOKS", "MODULES", "PREDICT", "REUSE", "TRAIN"]

#: The kind of network whose activations and pools are modules, as toolkits want them; else they are functions.
MODULES = "modules"
#: The numbers of a toolkit's answer, a tensor or numpy's array.
ANSWER = "torch.as_tensor({}).detach().numpy()"
#: The two plain calls.
BACKWARD = "loss = (net(x.requires_grad_()) * cotangent).sum()\n---\nloss.backward()\ndx = x.grad\n"
GRAD = "y = net(x.requires_grad_())\n---\ndx, = torch.autograd.grad(y, x, cotangent)\n"
#: A prediction in whatever mode the module is in, and the documented one.
PREDICT = "with torch.no_grad():\n    y = net(x)\n"
EVALUATE = "net.eval()\n" + PREDICT
#: One step of plain gradient descent.
TRAIN = """\
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
optimizer.zero_grad()
(net(x) * cotangent).sum().backward()
optimizer.step()
"""
#: What users do with a network later. The norm of a gradient is differentiated by those who keep it small.
REUSE = {
    "save": 'torch.save(net.state_dict(), "net.pt")\n',
    "load": 'net.load_state_dict(torch.load("net.pt"))\n',
    "copy": "copy.deepcopy(net)\n",
    "pickle": 'torch.save(net, "whole.pt")\n',
    "differentiate-twice": """\
net.eval()
loss = (F.log_softmax(net(x.requires_grad_()), 1) * cotangent).sum()
dx, = torch.autograd.grad(loss, x, create_graph=True)
dx, = torch.autograd.grad(dx.norm(), x)
""",
}
#: Mode flags, hooks, attributes, gradients and what else a call may leave on a module, or draw.
LOOKS = """\
def look():
    generator = torch.Generator()
    generator.set_state(torch.get_rng_state())
    seen = {f"next random number: {float(torch.rand(1, generator=generator))}"}
    for name, layer in net.named_modules():
        hooks = sum(len(value) for key, value in vars(layer).items() if key.endswith("_hooks"))
        seen |= {f"{name or 'net'}: training={layer.training}, {hooks} hooks"}
        seen |= {f"{name or 'net'}.{key}" for key in vars(layer)}
        seen |= {f"{name}: inplace={layer.inplace}"} if hasattr(layer, "inplace") else set()
    for name, value in net.named_parameters():
        norm = None if value.grad is None else float(value.grad.norm())
        seen.add(f"{name}: requires_grad={value.requires_grad}, norm of its gradient {norm}")
    return seen | {f"{name}: {value}" for name, value in net.named_buffers() if value.dim() == 0}
"""
#: The network in training mode, its batch normalizations in evaluation mode.
FROZEN = """\
net.train()
for layer in net.modules():
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        layer.eval()
"""
