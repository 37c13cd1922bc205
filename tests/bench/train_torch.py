#!/usr/bin/env python3
"""One training step of PyTorch, channels_last, on a batch that is ready in memory."""

import argparse
import contextlib

import measure
import networks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    measure.common_arguments(parser, networks.PRESETS)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    module, optimizer = networks.torch_model(arguments.preset, arguments.size)
    x = torch.rand(arguments.batch, 1, arguments.size, arguments.size)
    x = x.to(memory_format=torch.channels_last)
    y = (torch.arange(arguments.batch) % 2).float()[:, None]
    loss_function = torch.nn.BCEWithLogitsLoss()

    def step():
        reduced = (torch.autocast("cpu", torch.bfloat16)
                   if arguments.precision == "bfloat16" else contextlib.nullcontext())
        optimizer.zero_grad(set_to_none=True)
        with reduced:
            loss = loss_function(module(x).float(), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    timing = measure.time_repetitions(step, arguments.batch, arguments.seconds)
    measure.report(arguments, "torch", "train", "step", timing, torch=torch.__version__)


if __name__ == "__main__":
    main()
