"""Tables of invented figures, as CSV and as files."""

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.convert import convert

FIRST = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
SECOND = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"
LONG = f"""architecture,dataset,split,epochs,seed,accuracy,loss,seconds,params,macs
{FIRST},cifar10,test,12,0,90.5,0.25,60,1000,5000
{FIRST},cifar10,test,12,1,91.5,0.5,62,1000,5000
{FIRST},cifar10,test,200,0,94,,,,
{SECOND},cifar10,test,12,0,10,2.25,30,500,
"""


def opened(tmp_path, text, name="mine.csv", **options):
    (tmp_path / name).write_text(text)
    return open_benchmark(tmp_path / name, **options)


def converted(tmp_path, text):
    (tmp_path / "mine.csv").write_text(text)
    return convert(tmp_path / "mine.csv", tmp_path / "mine.npz")[1]
