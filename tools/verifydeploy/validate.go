package main

import (
	"context"
	"errors"
	"fmt"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	serviceutil "k8s.io/kubernetes/pkg/api/service"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // registers the types and their defaults, as those below
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	podsecurity "k8s.io/pod-security-admission/api"
	podpolicy "k8s.io/pod-security-admission/policy"
)

// namespace is where everything is applied; kubectl fills it in.
const namespace = "default"

func init() {
	if err := monitoring.AddToScheme(legacyscheme.Scheme); err != nil {
		panic(err) // two types of one name
	}
}

// object is one that was decoded, with what it came from.
type object struct {
	name      string // Kind/name
	versioned runtime.Object
	pod       *corev1.PodTemplateSpec // of a workload
	own       map[string]string       // the labels of its metadata
}

// validate decodes strictly, fills in defaults, and validates as the API server does when an object is created; then that objects fit together.
func validate(ctx context.Context, documents [][]byte) (wrong []error) {
	var all []object
	for _, document := range documents {
		o, errs := validateOne(ctx, document)
		for _, err := range errs {
			wrong = append(wrong, fmt.Errorf("%s: %w", o.name, err))
		}
		if len(errs) == 0 {
			all = append(all, o)
		}
	}
	return append(wrong, fit(all)...)
}

func validateOne(ctx context.Context, document []byte) (object, []error) {
	scheme := legacyscheme.Scheme
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	versioned, kind, err := decoder.Decode(document, nil, nil)
	if err != nil {
		return object{name: "decode"}, joined(err)
	}
	accessor, err := meta.Accessor(versioned)
	if err != nil {
		return object{name: kind.String()}, joined(err)
	}
	o := object{name: kind.Kind + "/" + accessor.GetName(), versioned: versioned, own: accessor.GetLabels()}
	if accessor.GetNamespace() == "" {
		accessor.SetNamespace(namespace)
	}
	scheme.Default(versioned)
	if s, ok := versioned.(*corev1.Service); ok && s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP} // as the API server does before it validates
	}
	if kind.Group == monitoring.SchemeGroupVersion.Group {
		return o, nil // the CRD's own schema is the types'; what they ask of Prometheus promtool has looked at
	}
	internal, err := scheme.ConvertToVersion(versioned, runtime.InternalGroupVersioner)
	if err != nil {
		return o, joined(err)
	}
	errs, warnings := fieldErrors(ctx, internal)
	var wrong []error
	for _, e := range errs {
		wrong = append(wrong, e)
	}
	for _, w := range warnings {
		wrong = append(wrong, errors.New("warning: "+w))
	}
	if o.pod = podOf(versioned); o.pod != nil {
		wrong = append(wrong, restricted(o.pod)...)
	}
	return o, wrong
}

// fieldErrors are what the API server would refuse the object with, and what it would warn of.
func fieldErrors(ctx context.Context, internal runtime.Object) (field.ErrorList, []string) {
	template := field.NewPath("spec", "template")
	switch o := internal.(type) {
	case *apps.Deployment:
		options := podutil.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil)
		return appsvalidation.ValidateDeployment(o, options), podutil.GetWarningsForPodTemplate(ctx, template, &o.Spec.Template, nil)
	case *apps.StatefulSet:
		options := podutil.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil)
		return appsvalidation.ValidateStatefulSet(o, options), podutil.GetWarningsForPodTemplate(ctx, template, &o.Spec.Template, nil)
	case *core.Service:
		return corevalidation.ValidateServiceCreate(o), serviceutil.GetWarningsForService(o, nil)
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(o), nil
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o), nil
	case *core.Secret:
		return corevalidation.ValidateSecret(o), nil
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{}), nil
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{}), nil
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("nothing here validates a %T", internal))}, nil
}

// restricted holds a pod to the strictest of the Pod Security Standards.
func restricted(pod *corev1.PodTemplateSpec) (wrong []error) {
	evaluator, err := podpolicy.NewEvaluator(podpolicy.DefaultChecks(), nil)
	if err != nil {
		return joined(err)
	}
	level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for _, r := range evaluator.EvaluatePod(level, &metav1.ObjectMeta{}, &pod.Spec) {
		if !r.Allowed {
			wrong = append(wrong, fmt.Errorf("pod security: %s: %s", r.ForbiddenReason, r.ForbiddenDetail))
		}
	}
	return wrong
}
