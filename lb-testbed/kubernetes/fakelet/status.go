package fakelet

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

const (
	ipAnnotation    = "fake/ip"
	readyAnnotation = "fake/ready"
)

// runningStatus is the status of a Pod whose containers run.
func runningStatus(pod *corev1.Pod, node *corev1.Node, now metav1.Time) (*corev1.PodStatus, error) {
	hostIPs := addresses(node)
	podIPs, err := podAddresses(pod, hostIPs)
	if err != nil {
		return nil, err
	}
	ready := pod.Annotations[readyAnnotation] != "false"
	status := pod.Status.DeepCopy()
	status.Phase = corev1.PodRunning
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.HostIP, status.HostIPs = "", nil
	for _, ip := range hostIPs {
		status.HostIPs = append(status.HostIPs, corev1.HostIP{IP: ip})
	}
	if len(hostIPs) > 0 {
		status.HostIP = hostIPs[0]
	}
	status.PodIP, status.PodIPs = podIPs[0], nil
	for _, ip := range podIPs {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip})
	}
	setConditions(status, ready)
	status.ContainerStatuses = containerStatuses(pod, ready, *status.StartTime)
	return status, nil
}

func setConditions(status *corev1.PodStatus, ready bool) {
	readiness := corev1.ConditionFalse
	if ready {
		readiness = corev1.ConditionTrue
	}
	for _, condition := range []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		{Type: corev1.ContainersReady, Status: readiness},
		{Type: corev1.PodReady, Status: readiness},
	} {
		podutil.UpdatePodCondition(status, &condition)
	}
}

func containerStatuses(pod *corev1.Pod, ready bool, started metav1.Time) []corev1.ContainerStatus {
	var statuses []corev1.ContainerStatus
	for _, container := range pod.Spec.Containers {
		running := true
		statuses = append(statuses, corev1.ContainerStatus{
			Name:        container.Name,
			Image:       container.Image,
			ImageID:     container.Image,
			ContainerID: fmt.Sprintf("fake://%s/%s", pod.UID, container.Name),
			Ready:       ready,
			Started:     &running,
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		})
	}
	return statuses
}

// podAddresses are never none.
func podAddresses(pod *corev1.Pod, ofNode []string) ([]string, error) {
	text, found := pod.Annotations[ipAnnotation]
	switch {
	case found:
		ips := strings.Split(text, ",")
		for _, ip := range ips {
			if _, err := netip.ParseAddr(ip); err != nil {
				return nil, fmt.Errorf("%s: %w", ipAnnotation, err)
			}
		}
		return ips, nil
	case pod.Spec.HostNetwork && len(ofNode) > 0:
		return ofNode, nil
	case pod.Spec.HostNetwork:
		return nil, fmt.Errorf("its Node has no InternalIP")
	default:
		return nil, fmt.Errorf("it has neither %s nor hostNetwork", ipAnnotation)
	}
}

func addresses(node *corev1.Node) []string {
	var found []string
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			found = append(found, address.Address)
		}
	}
	return found
}
