package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// kafkaFlags are those that say where Kafka is and how to log in there; their names are the daemon's.
type kafkaFlags struct {
	bootstrap                     list
	tls                           bool
	ca, cert, key                 string
	mechanism, user, passwordFile string
}

func (k *kafkaFlags) register(f *flag.FlagSet) {
	f.Var(&k.bootstrap, "kafka-bootstrap", "`host:port,…` of brokers (default 127.0.0.1:9092)")
	f.BoolVar(&k.tls, "kafka-tls", false, "use TLS towards the brokers")
	f.StringVar(&k.ca, "kafka-tls-ca", "", "`file` with certificates (PEM) to check the brokers' with (default: the system's)")
	f.StringVar(&k.cert, "kafka-tls-cert", "", "`file` with a client certificate (PEM)")
	f.StringVar(&k.key, "kafka-tls-key", "", "`file` with its key (PEM)")
	f.StringVar(&k.mechanism, "kafka-sasl-mechanism", "", "`mechanism`: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (default: no SASL)")
	f.StringVar(&k.user, "kafka-sasl-user", "", "`name` for SASL")
	f.StringVar(&k.passwordFile, "kafka-sasl-password-file", "", "`file` with the password for SASL")
}

// security is what the flags say of TLS and SASL.
func (k *kafkaFlags) security() (*tls.Config, sasl.Mechanism, error) {
	c, err := tlsConfig(k.tls || k.ca != "" || k.cert != "", k.ca, k.cert, k.key)
	if err != nil {
		return nil, nil, err
	}
	if k.mechanism == "" {
		if k.user != "" || k.passwordFile != "" {
			return nil, nil, errors.New("--kafka-sasl-user and --kafka-sasl-password-file need --kafka-sasl-mechanism")
		}
		return c, nil, nil
	}
	password, err := secret("--kafka-sasl-password-file", k.passwordFile)
	if err != nil {
		return nil, nil, err
	}
	switch k.mechanism {
	case "PLAIN":
		return c, plain.Auth{User: k.user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return c, scram.Auth{User: k.user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return c, scram.Auth{User: k.user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, nil, fmt.Errorf("--kafka-sasl-mechanism: %.64q: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", k.mechanism)
}
