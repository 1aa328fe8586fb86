"""Torch modules: the texts of the plain gradients and predictions."""

__all__ = ["BACKWARD", "EVALUATE", "FROZEN", "GRAD", "MODULES", "PREDICT", "REUSE", "TRAIN"]

#: The kind of network whose activations and pools are modules, as toolkits want them; else they are functions.
MODULES = "modules"
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
#: The network in training mode, its batch normalizations in evaluation mode.
FROZEN = """\
net.train()
for layer in net.modules():
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        layer.eval()
"""
