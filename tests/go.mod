module github.com/yolean/kafka-cache/tests

go 1.26
