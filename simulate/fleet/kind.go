package fleet

// kind is what a device measures. The units are chosen so that usual readings
// lie between 15 and 35, where the pipeline that the server comes with sees no
// anomaly.
type kind struct {
	name   string
	mean   float64
	daily  float64 // how far the day takes it up and down
	peak   float64 // when it is highest, as a share of the local day
	wander float64 // over hours
	noise  float64 // standard deviation of a reading
}

// Kinds names all kinds, in the order in which devices are given them.
func Kinds() []string {
	names := make([]string, 0, kinds)
	for _, k := range allKinds() {
		names = append(names, k.name)
	}
	return names
}

// kinds is how many there are.
const kinds = 8

func allKinds() [kinds]kind {
	return [kinds]kind{
		{"temperature", 24, 3, 15.0 / 24, 1.2, 0.15}, // °C
		{"humidity", 26, 3, 5.0 / 24, 1.5, 0.3},      // % in heated halls
		{"pressure", 25, 0.8, 10.0 / 24, 1, 0.2},     // bar in a line
		{"vibration", 24, 2, 14.0 / 24, 1.5, 0.5},    // Hz
		{"flow", 24, 2.5, 13.0 / 24, 1.5, 0.4},       // m³/h
		{"current", 23, 2.5, 11.0 / 24, 1.2, 0.35},   // A
		{"level", 25, 1.5, 4.0 / 24, 2, 0.1},         // %
		{"torque", 25, 1.5, 12.0 / 24, 1.5, 0.45},    // Nm
	}
}

func kindOf(name string) (kind, bool) {
	for _, k := range allKinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

// place is where devices stand.
type place struct {
	name string
	base float64 // what it adds to the mean of a kind
	turn float64 // how much earlier its day is, as a share of a day
}

func newPlace(name string, h uint64) place {
	return place{name: name, base: 0.8 * signed(h), turn: 0.04 * signed(h*0x9e3779b97f4a7c15)}
}

// Places names the places that a fleet has if it is told no others.
func Places() []string {
	return []string{"seoul", "busan", "daegu", "incheon", "gwangju", "daejeon", "ulsan", "suwon", "changwon", "pohang", "jeju", "gangneung"}
}
