"""The score's inner loops, compiled: the only room that knows LLVM and addresses of tensors."""
