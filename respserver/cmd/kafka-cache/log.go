package main

import (
	"io"
	"log/slog"

	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
)

func newLogger(w io.Writer, c *config.Config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}
