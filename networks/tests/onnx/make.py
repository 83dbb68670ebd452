#!/usr/bin/env python3
"""Small networks as ONNX files, for the tests: `pip install onnx numpy`, then `python make.py` here.

small     convolution 4 × 4 with stride 4, ReLU, mean over the picture: (n, 5) features of any number of patches of 32 pixels
pooled    the same without flattening, (n, 5, 1, 1), of patches of any side
pairs     the same for exactly two patches
maps      the convolution alone, whose output has no row per patch
unknown   an operator that nobody knows
two       two inputs
"""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

# Eighths, so that sums are exact in any order.
weights = ((np.arange(5 * 3 * 4 * 4) * 7) % 11 - 5).reshape(5, 3, 4, 4).astype("f4") / 8


def write(name, nodes, out, shape=("n", 3, 32, 32), more=()):
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    inputs = [value("patches", list(shape)), *more]
    graph = helper.make_graph(nodes, name, inputs, [value(*out)], [numpy_helper.from_array(weights, "weights")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("org.nobody", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    with open(f"{name}.onnx", "wb") as file:
        file.write(model.SerializeToString())


node = helper.make_node
layers = [
    node("Conv", ["patches", "weights"], ["maps"], strides=[4, 4], dilations=[1, 1], pads=[0, 0, 0, 0], kernel_shape=[4, 4]),
    node("Relu", ["maps"], ["open"]),
    node("GlobalAveragePool", ["open"], ["pooled"]),
    node("Flatten", ["pooled"], ["features"]),
]
write("small", layers, ("features", ["n", 5]))
write("pooled", layers[:3], ("pooled", ["n", 5, 1, 1]), ("n", 3, "side", "side"))
write("pairs", layers, ("features", [2, 5]), (2, 3, 32, 32))
write("maps", layers[:1], ("maps", ["n", 5, 8, 8]))
write("unknown", [node("Warp", ["patches"], ["features"], domain="org.nobody")], ("features", ["n", 5]))
second = helper.make_tensor_value_info("ages", TensorProto.FLOAT, ["n"])
write("two", [*layers[:3], node("Flatten", ["pooled"], ["features"])], ("features", ["n", 5]), more=[second])
