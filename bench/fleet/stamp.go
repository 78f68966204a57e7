package fleet

// stampLen is the length of every timestamp: nanoseconds from 2001 to 2262
// have 19 digits, which is what allows them to be overwritten in place.
const stampLen = 19

func appendStamp(dst []byte, ns int64) []byte {
	n := len(dst)
	dst = append(dst, "0000000000000000000"...)
	putStamp(dst[n:], ns)
	return dst
}

// putStamp writes ns over the first 19 bytes of b.
func putStamp(b []byte, ns int64) {
	_ = b[stampLen-1]
	u := uint64(ns)
	for i := stampLen - 1; i > 0; i -= 2 {
		q := u / 100
		d := (u - q*100) * 2
		b[i], b[i-1] = pairs[d+1], pairs[d]
		u = q
	}
	b[0] = '0' + byte(u)
}

func stampAt(b []byte) int64 {
	var n int64
	for _, c := range b[:stampLen] {
		n = n*10 + int64(c-'0')
	}
	return n
}

const pairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"
