"""NAS-Bench-101's official records, and the file format in which its authors give them out, written here."""

import base64
import json
import random
import struct

from naswot_lightning.benchmarks.table import cell_hash
from naswot_lightning.spaces.nasbench101.graph import OPS, edges_of, live_graph

WORDS = {"train": "train", "validation": "valid", "test": "test"}


def crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def masked(content):
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(content):
    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def double(field, number):
    return bytes([field << 3 | 1]) + struct.pack("<d", number)


def nested(field, content):
    return bytes([field << 3 | 2]) + varint(len(content)) + content


def evaluation(epoch, seconds, train, valid, test):
    numbers = b"".join(double(field, each) for field, each in enumerate((epoch, seconds, train, valid, test), start=1))
    return numbers + nested(6, b"/a/checkpoint")


def metrics(params, training, epochs):
    parts = [evaluation(0, 0.0, 0.1, 0.1, 0.1)]
    for when, epoch in (("halfway", epochs / 2), ("final", epochs)):
        shares = [training[f"{when}_{word}_accuracy"] for word in WORDS]
        parts.append(evaluation(epoch, training[f"{when}_training_time"], *shares))
    return b"".join(nested(1, part) for part in parts) + b"\x10" + varint(params) + double(3, 3000.0)


def row(name, fixed, training, epochs):
    matrix = "".join(str(int(entry)) for line in fixed["module_adjacency"] for entry in line)
    message = metrics(int(fixed["trainable_parameters"]), training, epochs)
    values = [name, epochs, matrix, ",".join(fixed["module_operations"]), base64.b64encode(message).decode()]
    return json.dumps(values).encode()


def tfrecord(content):
    """Return the bytes of a file of these records, in the order of the official one: repeats are apart."""
    return b"".join(
        frame(row(name, fixed, trainings[repeat], epochs))
        for repeat in range(3)
        for name, (fixed, computed) in content.items()
        for epochs, trainings in computed.items()
    )


def plain(content):
    """Return the records as JSON has them."""
    return {
        name: [
            {**fixed, "module_adjacency": [[int(entry) for entry in line] for line in fixed["module_adjacency"]]},
            {str(epochs): trainings for epochs, trainings in computed.items()},
        ]
        for name, (fixed, computed) in content.items()
    }


INCEPTION = "conv1x1~0+conv3x3~0+conv3x3~0+conv3x3~3+maxpool3x3~0+output~1,2,4,5"


def invented(architectures=(INCEPTION, "conv3x3~0+conv3x3~0,1+output~2"), seed=0):
    """Return records of cells as a dump has them, with invented values."""
    rng = random.Random(seed)
    return {cell_hash(each).hex(): (described(each), trained(rng)) for each in architectures}


def described(architecture):
    graph = live_graph(architecture)
    matrix = [[0] * (len(graph) + 1) for _ in range(len(graph) + 1)]
    for source, target in edges_of(graph):
        matrix[source][target] = 1
    labels = ["input", *(OPS[vertex.op] for vertex in graph[:-1]), "output"]
    return {"module_adjacency": matrix, "module_operations": labels, "trainable_parameters": 2_694_282}


def trained(rng):
    names = [f"{when}_{word}_accuracy" for when in ("halfway", "final") for word in WORDS]
    times = {"halfway_training_time": 500.0, "final_training_time": 1000.0}
    return {
        epochs: [{**times, **{name: rng.randrange(9_984) / 9_984 for name in names}} for _ in range(3)]
        for epochs in (4, 12, 36, 108)
    }
