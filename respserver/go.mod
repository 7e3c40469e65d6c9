module github.com/yolean/kafka-cache/respserver

go 1.26
