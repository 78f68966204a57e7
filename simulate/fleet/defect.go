package fleet

// Defect is what is wrong with a message, so that the rules of a pipeline have
// something to refuse.
type Defect uint8

// The defects.
const (
	DefectNone     Defect = iota
	DefectHigh            // value above 100
	DefectLow             // value below -50
	DefectQuality         // quality above 100
	DefectNegative        // quality below 0
	DefectText            // a text as value
	DefectNoValue         // something is missing
	DefectNoQuality
	DefectNoPlace
	DefectNoKind
	DefectNoTime
	defects
)

// String names it.
func (d Defect) String() string {
	return [defects]string{"none", "value too high", "value too low", "quality too high", "quality negative",
		"value is text", "no value", "no quality", "no location", "no sensor_type", "no timestamp"}[d]
}

// defect returns what is wrong with a device's message of a round.
func (f *Fleet) defect(device int, round int64) Defect {
	if f.shares.refused == 0 {
		return DefectNone
	}
	if f.hash(uint64(device), ofDefect, round) >= f.shares.refused {
		return DefectNone
	}
	return DefectHigh + Defect(f.hash(uint64(device), ofDefect, ^round)%uint64(defects-1))
}

// spoil gives value and quality what their defect asks for.
func (m *Message) spoil() {
	switch m.Defect {
	case DefectHigh:
		m.Value = 15_000 + m.Value
	case DefectLow:
		m.Value = -12_000 - m.Value
	case DefectQuality:
		m.Quality += 500
	case DefectNegative:
		m.Quality = -m.Quality
	}
}
