package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// classify wraps an error of the protocol layer with the one of ours that says what a caller can do about it. An error
// that is classified already, or a context's, stays as it is.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{
		ErrConfig, ErrClosed, ErrUnknownTopic, ErrTopicRecreated, ErrUnavailable, ErrUnknownOutcome, ErrTooLarge,
		ErrNotEnoughReplicas, ErrNotAuthorized, ErrRefused, ErrCorrupt, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	var kerr sarama.KError
	if errors.As(err, &kerr) {
		return fmt.Errorf("%w: %w", sentinelOf(kerr), err)
	}
	var decoding sarama.PacketDecodingError
	if errors.As(err, &decoding) || errors.Is(err, sarama.ErrInsufficientData) || errors.Is(err, sarama.ErrDecompressedBatchTooLarge) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var encoding sarama.PacketEncodingError
	var configuration sarama.ConfigurationError
	if errors.As(err, &encoding) || errors.As(err, &configuration) || errors.Is(err, sarama.ErrUnsupportedVersion) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func sentinelOf(k sarama.KError) error {
	switch k {
	case sarama.ErrUnknownTopicOrPartition:
		return ErrUnknownTopic
	case sarama.ErrTopicAuthorizationFailed, sarama.ErrGroupAuthorizationFailed, sarama.ErrClusterAuthorizationFailed,
		sarama.ErrTransactionalIDAuthorizationFailed, sarama.ErrSASLAuthenticationFailed, sarama.ErrUnsupportedSASLMechanism,
		sarama.ErrIllegalSASLState:
		return ErrNotAuthorized
	case sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge:
		return ErrTooLarge
	case sarama.ErrNotEnoughReplicas:
		return ErrNotEnoughReplicas
	case sarama.ErrInvalidMessage, sarama.ErrInvalidMessageSize:
		return ErrCorrupt
	}
	if isRetriable(k) {
		return ErrUnavailable
	}
	return ErrRefused
}

// isRetriable reports whether the protocol's table of errors says that the request may succeed later.
func isRetriable(k sarama.KError) bool {
	switch k {
	case sarama.ErrUnknown, sarama.ErrInvalidMessage, sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable,
		sarama.ErrNotLeaderForPartition, sarama.ErrRequestTimedOut, sarama.ErrBrokerNotAvailable,
		sarama.ErrReplicaNotAvailable, sarama.ErrNetworkException, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer, sarama.ErrNotEnoughReplicas,
		sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrNotController, sarama.ErrConcurrentTransactions,
		sarama.ErrKafkaStorageError, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrListenerNotFound,
		sarama.ErrOffsetNotAvailable, sarama.ErrPreferredLeaderNotAvailable, sarama.ErrEligibleLeadersNotAvailable,
		sarama.ErrUnstableOffsetCommit, sarama.ErrThrottlingQuotaExceeded, sarama.ErrStaleBrokerEpoch:
		return true
	}
	return false
}
