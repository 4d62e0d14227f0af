// Package fakelet stands in for the kubelets of Nodes that have none: for tests with the real controllers, but without
// containers. Annotations on a Pod say what there would be containers for.
package fakelet

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const help = `Stands in for the kubelets of NODEs, which must exist: keeps them Ready, runs the Pods that are
bound to them, and removes those that are deleted when their grace is over.

Annotations on a Pod:
  fake/ip      its address, or one of each family with a comma between; a Pod
               with neither this nor hostNetwork stays Pending
  fake/ready   "false": its readiness probe fails
  fake/linger  seconds that it takes to end, instead of its grace`

// NewCommand makes the command `fakelet`.
func NewCommand() *cobra.Command {
	var kubeconfig string
	command := &cobra.Command{
		Use:   "fakelet --kubeconfig FILE NODE...",
		Short: "Stand in for kubelets",
		Long:  help,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, nodes []string) error {
			command.SilenceUsage = true
			return run(kubeconfig, sets.New(nodes...))
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how the API server is reached, as a user who may write Pods and Nodes")
	return command
}

// run ends with a signal.
func run(kubeconfig string, mine sets.Set[string]) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %q: %w", kubeconfig, err)
	}
	// That of client-go would make a test with thousands of Pods wait.
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx := server.SetupSignalContext()
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes, pods := factory.Core().V1().Nodes(), factory.Core().V1().Pods()
	nodeKeeper := &nodeKeeper{client: client, mine: mine}
	podRunner := &podRunner{client: client, mine: mine, nodes: nodes.Lister()}
	followNodes, err := newFollower("nodes", nodes.Informer(), nodeKeeper.sync)
	if err != nil {
		return err
	}
	followPods, err := newFollower("pods", pods.Informer(), podRunner.sync)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go followNodes.run(ctx)
	followPods.run(ctx)
	return nil
}
