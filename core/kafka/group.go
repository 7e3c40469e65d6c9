package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// coordinatorTries bounds how often one call looks for a group's coordinator.
const coordinatorTries = 5

// CommitGroup commits, for a group without members, the next offset of each partition of next, with the metadata string.
// It sends no generation and no member, as the protocol has it for consumers that assign partitions to themselves, so
// the group must not be one that has members. Offsets expire offsets.retention.minutes after the last commit (KIP-211).
func (c *Client) CommitGroup(ctx context.Context, group, topic string, next map[int32]int64, metadata string) error {
	if len(next) == 0 {
		return nil
	}
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = c.askCoordinator(ctx, group, func(b *sarama.Broker) (time.Duration, error) {
		req := &sarama.OffsetCommitRequest{
			Version:                 8,
			ConsumerGroup:           group,
			ConsumerGroupGeneration: sarama.GroupGenerationUndefined,
		}
		for id, offset := range next {
			req.AddBlockWithLeaderEpoch(topic, id, offset, -1, 0, metadata)
		}
		res, err := b.CommitOffset(req)
		if err != nil {
			return 0, err
		}
		for id := range next {
			k, ok := res.Errors[topic][id]
			if !ok {
				return 0, fmt.Errorf("partition %d: %w", id, sarama.ErrIncompleteResponse)
			}
			if k != sarama.ErrNoError {
				return 0, fmt.Errorf("partition %d: %w", id, k)
			}
		}
		return time.Duration(res.ThrottleTimeMs) * time.Millisecond, nil
	})
	if err != nil {
		return fmt.Errorf("commit offsets of group %q: %w", group, err)
	}
	return nil
}

// DeleteGroup deletes a group without members, and its offsets. A group that does not exist is no error.
func (c *Client) DeleteGroup(ctx context.Context, group string) error {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = c.askCoordinator(ctx, group, func(b *sarama.Broker) (time.Duration, error) {
		req := &sarama.DeleteGroupsRequest{Version: 2}
		req.AddGroup(group)
		res, err := b.DeleteGroups(req)
		if err != nil {
			return 0, err
		}
		k, ok := res.GroupErrorCodes[group]
		if !ok {
			return 0, sarama.ErrIncompleteResponse
		}
		if k != sarama.ErrNoError && k != sarama.ErrGroupIDNotFound {
			return 0, k
		}
		return res.ThrottleTime, nil
	})
	if err != nil {
		return fmt.Errorf("delete group %q: %w", group, err)
	}
	return nil
}

// askCoordinator runs an exchange with the group's coordinator, and finds it again when it has moved.
func (c *Client) askCoordinator(ctx context.Context, group string, r request) error {
	wait := 50 * time.Millisecond
	for try := 1; ; try++ {
		addr, err := c.coordinator(ctx, group)
		if err == nil {
			if err = c.ask(ctx, addr, r); err == nil {
				return nil
			}
			c.mu.Lock()
			delete(c.coordinators, group)
			c.mu.Unlock()
		}
		if try == coordinatorTries || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if sleep(ctx, wait) != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		wait *= 2
	}
}

func (c *Client) coordinator(ctx context.Context, group string) (string, error) {
	c.mu.Lock()
	addr, ok := c.coordinators[group]
	c.mu.Unlock()
	if ok {
		return addr, nil
	}
	addr, err := c.findCoordinator(ctx, sarama.CoordinatorGroup, group)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	c.coordinators[group] = addr
	c.mu.Unlock()
	return addr, nil
}

// findCoordinator asks for the broker that coordinates a group, or a transactional id.
func (c *Client) findCoordinator(ctx context.Context, of sarama.CoordinatorType, key string) (addr string, err error) {
	res, err := askAny(ctx, c, func(b *sarama.Broker) (*sarama.FindCoordinatorResponse, time.Duration, error) {
		res, err := b.FindCoordinator(&sarama.FindCoordinatorRequest{Version: 3, CoordinatorKey: key, CoordinatorType: of})
		if err != nil {
			return nil, 0, err
		}
		return res, res.ThrottleTime, nil
	})
	if err != nil {
		return "", fmt.Errorf("find the coordinator: %w", err)
	}
	if res.Err != sarama.ErrNoError {
		return "", fmt.Errorf("find the coordinator: %w", classify(res.Err))
	}
	if res.Coordinator == nil {
		return "", fmt.Errorf("find the coordinator: %w", classify(sarama.ErrConsumerCoordinatorNotAvailable))
	}
	return res.Coordinator.Addr(), nil
}
