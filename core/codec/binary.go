package codec

type binaryCodec struct{ name string }

func (c binaryCodec) Name() string { return c.name }
func (binaryCodec) Identity() bool { return true }

func (binaryCodec) Encode(dst, decoded []byte) ([]byte, error) { return append(dst, decoded...), nil }
func (binaryCodec) Decode(dst, encoded []byte) ([]byte, error) { return append(dst, encoded...), nil }
