"""Forecast sea temperatures a year ahead, with quantiles from sample paths.

python examples/forecast.py
"""

from tidegate.tasks import Forecaster

model = Forecaster(
    target="temperature", time="month", horizon=12, strategy="recursive", quantiles=(0.1, 0.9), cell="gru"
)
model.fit("elnino")

print(f"{'all origins in the test':30}  model   ridge")
for score in model.scores_:
    baseline = score.baselines["ridge"]
    print(f"{score.name:30} {score.value:6.3g}  {baseline:6.3g}")

ahead = model.predict()
print("\noff Peru, in °C, with the 80 % interval")
for row in ahead.itertuples():
    low, high = ahead.loc[row.Index, ["0.1", "0.9"]]
    print(f"{row.month:%B %Y}".ljust(18), f"{row.forecast:.1f}  ({low:.1f} to {high:.1f})")

july = model.backtest().query("month.dt.month == 7 and step == 6")
print(f"\nJuly, half a year ahead: wrong by {(july.truth - july.forecast).abs().mean():.1f} °C in {len(july)} years")
model.plot(24, held_out=True).savefig("elnino.svg")
print("wrote elnino.svg: the last two years, forecast and observed")
