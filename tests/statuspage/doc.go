// Package statuspage tests the admin port as those who use it do: the status page in a real browser, and each path of the API by its OpenAPI document.
package statuspage
