module github.com/yolean/kafka-cache/respserver

go 1.26.0

require github.com/yolean/kafka-cache/core v0.0.0

require (
	github.com/prometheus/client_model v0.6.3 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/oklog/run v1.2.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/tidwall/btree v1.1.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/redcon v1.6.4 // indirect
	github.com/twmb/franz-go v1.22.2 // indirect
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // indirect
	github.com/yolean/kafka-cache/admin v0.0.0
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)

replace github.com/yolean/kafka-cache/core => ../core

replace github.com/yolean/kafka-cache/admin => ../admin
