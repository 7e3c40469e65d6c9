//go:build !linux

package main

import (
	"context"
	"errors"
)

func runGetLoad(context.Context, getLoad) (getResult, error) {
	return getResult{}, errors.New("the load generator needs Linux (epoll)")
}
