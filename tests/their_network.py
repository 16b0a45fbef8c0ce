"""A method from outside the package: a small network, in the one protocol of `ecgnb run days`."""

import torch


class Network:
    def __init__(self, calibrations, inputs):
        torch.manual_seed(0)
        self.nets = [self.train(calibrations, lead) for lead in inputs]

    def train(self, calibrations, lead):
        net = torch.nn.Sequential(
            torch.nn.Conv1d(1, 16, 51, padding=25), torch.nn.ReLU(), torch.nn.Conv1d(16, 12, 1)
        )
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        for step in range(100):
            twelve = torch.tensor(calibrations[step % len(calibrations)], dtype=torch.float32)
            loss = torch.mean((net(twelve[None, lead : lead + 1])[0] - twelve) ** 2)
            optimiser.zero_grad(), loss.backward(), optimiser.step()
        return net

    def predict(self, signals):
        given = torch.tensor(signals, dtype=torch.float32)[:, None, None]
        with torch.no_grad():
            return torch.cat([net(one) for net, one in zip(self.nets, given, strict=True)]).numpy()


def fit(calibrations, inputs, *, seed):
    return Network(calibrations, inputs)
