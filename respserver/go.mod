module github.com/yolean/kafka-cache/respserver

go 1.26.0

require github.com/yolean/kafka-cache/core v0.0.0

require (
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/tidwall/btree v1.1.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/redcon v1.6.4 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)

replace github.com/yolean/kafka-cache/core => ../core
