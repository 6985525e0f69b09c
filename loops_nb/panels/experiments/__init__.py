"""Panel of experiments: a leaderboard that updates live, with the curves of chosen rows below it."""
