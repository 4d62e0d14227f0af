package fakelet

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
)

const lingerAnnotation = "fake/linger"

// podRunner has Pods begin and end.
type podRunner struct {
	client kubernetes.Interface
	mine   sets.Set[string]
	nodes  listers.NodeLister
}

func (r *podRunner) sync(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	if !r.mine.Has(pod.Spec.NodeName) {
		return 0, nil
	}
	left, err := timeLeft(pod, time.Now())
	if err != nil {
		return 0, err
	}
	if pod.DeletionTimestamp != nil && left <= 0 {
		return 0, r.remove(ctx, pod)
	}
	return left, r.report(ctx, pod)
}

// remove does what a kubelet does when a Pod's last container has ended.
func (r *podRunner) remove(ctx context.Context, pod *corev1.Pod) error {
	options := metav1.NewDeleteOptions(0)
	options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
	err := r.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (r *podRunner) report(ctx context.Context, pod *corev1.Pod) error {
	node, err := r.nodes.Get(pod.Spec.NodeName)
	if err != nil {
		return err
	}
	status, err := runningStatus(pod, node, metav1.Now())
	if err != nil || equality.Semantic.DeepEqual(*status, pod.Status) {
		return err
	}
	changed := pod.DeepCopy()
	changed.Status = *status
	_, err = r.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	return err
}

// timeLeft is how long a Pod that is deleted still has; 0 if it is not deleted.
func timeLeft(pod *corev1.Pod, now time.Time) (time.Duration, error) {
	if pod.DeletionTimestamp == nil {
		return 0, nil
	}
	end := pod.DeletionTimestamp.Time
	if text, found := pod.Annotations[lingerAnnotation]; found {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%s: %q is no number of seconds", lingerAnnotation, text)
		}
		// The timestamp is when its grace is over.
		grace := time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
		end = end.Add(time.Duration(seconds)*time.Second - grace)
	}
	return end.Sub(now), nil
}
