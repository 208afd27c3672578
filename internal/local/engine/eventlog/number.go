package eventlog

import (
	"bytes"
	"strconv"
)

// reprintNumbers prints the numbers of a JSON text as Hasura's JSON library does: integers
// whole, fractions without trailing zeros, and below 0.1 or from 10,000,000 on with an
// exponent (0.05 becomes 5.0e-2). Receivers meet these forms from a real Hasura, so they
// meet them here. Digits are moved, never computed.
func reprintNumbers(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		n := 1
		switch c := text[0]; {
		case c == '"':
			n = stringLength(text)
			out = append(out, text[:n]...)
		case c == '-' || isDigit(c):
			n = numberLength(text)
			out = appendNumber(out, text[:n])
		default:
			out = append(out, c)
		}
		text = text[n:]
	}
	return out
}

// stringLength is the length of the string literal that text begins with, quotes included.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func numberLength(text []byte) int {
	for i, c := range text {
		if !isDigit(c) && !bytes.ContainsRune([]byte("+-.eE"), rune(c)) {
			return i
		}
	}
	return len(text)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// appendNumber leaves integers alone, and exponents, which jsonb never prints.
func appendNumber(out, number []byte) []byte {
	whole, fraction, fractional := bytes.Cut(number, []byte("."))
	if !fractional || bytes.ContainsAny(number, "eE") {
		return append(out, number...)
	}
	if whole[0] == '-' {
		out, whole = append(out, '-'), whole[1:]
	}
	digits := bytes.Join([][]byte{whole, fraction}, nil)
	significant := bytes.TrimLeft(digits, "0")
	// The number is 0.significant times ten to the power of point.
	point := len(whole) - (len(digits) - len(significant))
	significant = bytes.TrimRight(significant, "0")
	switch {
	case len(significant) == 0:
		return append(out, "0.0"...)
	case point < 0 || point > 7:
		out = append(out, significant[0], '.')
		out = appendOr0(out, significant[1:])
		return strconv.AppendInt(append(out, 'e'), int64(point-1), 10)
	}
	for len(significant) < point {
		significant = append(significant, '0')
	}
	out = appendOr0(out, significant[:point])
	return appendOr0(append(out, '.'), significant[point:])
}

func appendOr0(out, digits []byte) []byte {
	if len(digits) == 0 {
		return append(out, '0')
	}
	return append(out, digits...)
}
