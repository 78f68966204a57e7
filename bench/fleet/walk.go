package fleet

import "math/rand/v2"

// clamp keeps a walk between its walls; a step beyond one stops at it.
func clamp(x, low, high float64) float64 {
	return max(low, min(high, x))
}

// between draws evenly from low to high.
func between(rng *rand.Rand, low, high float64) float64 {
	return low + (high-low)*rng.Float64()
}

// pick draws one of the choices.
func pick(rng *rand.Rand, choices []string) string {
	return choices[rng.IntN(len(choices))]
}
