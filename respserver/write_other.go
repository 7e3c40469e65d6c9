//go:build !unix

package respserver

import "errors"

// canWriteNow: elsewhere everything goes through the queue.
const canWriteNow = false

func writeNow(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
