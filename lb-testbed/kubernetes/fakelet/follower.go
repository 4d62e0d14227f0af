package fakelet

import (
	"context"
	"sync"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// So many objects of a kind are worked at at the same time.
const workers = 8

// syncFunc does what an object asks for now. It is called again when the object has changed, when it returned an error,
// and after the time that it returns, if that is not 0.
type syncFunc[T any] func(ctx context.Context, object T) (time.Duration, error)

// follower calls a syncFunc for all objects of a kind.
type follower[T any] struct {
	store cache.Store
	queue workqueue.TypedRateLimitingInterface[string]
	sync  syncFunc[T]
}

func newFollower[T any](name string, informer cache.SharedIndexInformer, sync syncFunc[T]) (*follower[T], error) {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](5*time.Millisecond, time.Second)
	config := workqueue.TypedRateLimitingQueueConfig[string]{Name: name}
	queue := workqueue.NewTypedRateLimitingQueueWithConfig(limiter, config)
	enqueue := func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			queue.Add(key)
		}
	}
	// An object that is gone asks for nothing.
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
	})
	return &follower[T]{store: informer.GetStore(), queue: queue, sync: sync}, err
}

// run ends with the context.
func (f *follower[T]) run(ctx context.Context) {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for f.syncNext(ctx) {
			}
		})
	}
	<-ctx.Done()
	f.queue.ShutDown()
	group.Wait()
}

func (f *follower[T]) syncNext(ctx context.Context) bool {
	key, shutDown := f.queue.Get()
	if shutDown {
		return false
	}
	defer f.queue.Done(key)
	stored, exists, err := f.store.GetByKey(key)
	if err != nil || !exists {
		return true
	}
	after, err := f.sync(ctx, stored.(T))
	if err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Will try again", "object", key)
		f.queue.AddRateLimited(key)
		return true
	}
	f.queue.Forget(key)
	if after > 0 {
		f.queue.AddAfter(key, after)
	}
	return true
}
