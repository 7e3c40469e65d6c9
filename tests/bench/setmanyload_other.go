//go:build !linux

package main

import (
	"context"
	"errors"
)

func runSetMany(context.Context, manyWrites) (manyWritesResult, error) {
	return manyWritesResult{}, errors.New("the load generator needs Linux (epoll)")
}
