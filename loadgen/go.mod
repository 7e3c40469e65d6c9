module github.com/yolean/kafka-cache/loadgen

go 1.26
