package codec

type binaryCodec struct{}

func (binaryCodec) Name() string   { return "binary" }
func (binaryCodec) Identity() bool { return true }

func (binaryCodec) Encode(dst, decoded []byte) ([]byte, error) { return append(dst, decoded...), nil }
func (binaryCodec) Decode(dst, encoded []byte) ([]byte, error) { return append(dst, encoded...), nil }
