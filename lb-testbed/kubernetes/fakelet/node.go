package fakelet

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	nodeutil "k8s.io/component-helpers/node/util"
)

// Enough for all Pods of a test.
var resources = corev1.ResourceList{
	corev1.ResourceCPU:    resource.MustParse("1000"),
	corev1.ResourceMemory: resource.MustParse("1Ti"),
	corev1.ResourcePods:   resource.MustParse("10000"),
}

// nodeKeeper keeps Nodes Ready. It renews no Lease: the node lifecycle controller, which would look for one, does not
// run, and so a Node at rest is not written.
type nodeKeeper struct {
	client kubernetes.Interface
	mine   sets.Set[string]
}

func (k *nodeKeeper) sync(ctx context.Context, node *corev1.Node) (time.Duration, error) {
	if !k.mine.Has(node.Name) || isWell(node) {
		return 0, nil
	}
	now := metav1.Now()
	ready := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}
	// Addresses are those of whoever made the Node.
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"conditions": []corev1.NodeCondition{ready}, "capacity": resources, "allocatable": resources,
	}})
	if err != nil {
		return 0, err
	}
	_, err = k.client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return 0, err
}

func isWell(node *corev1.Node) bool {
	_, ready := nodeutil.GetNodeCondition(&node.Status, corev1.NodeReady)
	return ready != nil && ready.Status == corev1.ConditionTrue && len(node.Status.Allocatable) > 0
}
