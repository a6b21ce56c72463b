"""optimizations"""
