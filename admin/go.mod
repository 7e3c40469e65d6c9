module github.com/yolean/kafka-cache/admin

go 1.26
