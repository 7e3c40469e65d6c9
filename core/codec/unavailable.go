package codec

import (
	"context"
	"errors"
)

// ErrUnavailable is wrapped by the error of Encode or Decode where what they need from elsewhere, such as a schema, cannot be had for the
// moment. It says nothing of the bytes: they are neither valid nor invalid, and the same call may succeed later. Whoever reads the log
// must not pass over such a record, nor take its key for missing, but wait: see [Awaiter].
var ErrUnavailable = errors.New("codec: not available for now")

// Awaiter is a [Codec] whose Decode may fail with [ErrUnavailable]. Decode itself never waits for the network; Await does.
type Awaiter interface {
	Codec
	// Await gets what Decode needs for encoded. It asks once, in bounded time and no longer than ctx goes. Then it returns
	//
	//   - nil, or an error that wraps ErrInvalid: Decode is called again at once, and says what there is to say of the bytes;
	//   - an error that wraps ErrUnavailable: Await is called again after a pause;
	//   - ctx's error.
	//
	// The error's text is fit to be shown as the reason for which nothing goes on. Await is called by several goroutines, with no lock held.
	Await(ctx context.Context, encoded []byte) error
}

// Runner is a [Codec] with work in the background, such as keeping a schema up to date. A cache.Cache calls Run once for each topic that has the
// codec, for as long as it runs itself.
type Runner interface {
	Codec
	// Run works until ctx ends, and returns when none of its goroutines is left.
	Run(ctx context.Context)
}
