INCEPTION = "conv1x1~0+conv3x3~0+conv3x3~0+conv3x3~3+maxpool3x3~0+output~1,2,4,5"  # of the benchmark's README
FIRST = "conv3x3~0+conv1x1~1+conv1x1~0,1,2+conv3x3~1+conv1x1~4+output~3,5"  # of the benchmark's first record
